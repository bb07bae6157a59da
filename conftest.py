"""Tests in this tree judge the embedded reference unless told otherwise; all else is the plugin's."""
