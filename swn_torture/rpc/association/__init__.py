"""Associations: endpoint mapper, bind, alter_context, presentation contexts, association groups, rundown."""
