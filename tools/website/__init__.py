"""The site: the documents, and pages made from catalogue, cases, faults and published results.

- ``hooks``: what mkdocs calls (``mkdocs.yml``).
- ``documents``, ``markdown``: the documents of the repository as pages of the site.
- ``sections``, ``cases``, ``reference``: the generated pages.
- ``known``: what the known targets do.
"""
