"""The panel at ``/admin/``: what a business owner reads in the morning, and rq-dashboard for the operator.

It reads the models, and acts only through the services that the API uses.
"""

from admin.setup import init_admin

__all__ = ["init_admin"]
