"""django-scim2, a SCIM service provider that is not ours: what its author leaves to a project.

`python -m tests.connectors.django_service PORT TOKEN` serves it.
"""
