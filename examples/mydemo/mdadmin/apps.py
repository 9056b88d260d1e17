from django.apps import AppConfig


class MdadminConfig(AppConfig):
    name = "mdadmin"
    verbose_name = "sign-up"
