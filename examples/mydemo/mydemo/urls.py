from django.urls import include, path

from mdadmin.views import SignUpView

urlpatterns = [
    path("", SignUpView.as_view(), name="sign-up"),
    path("mdadmin/", include("mdadmin.urls")),
    path("i18n/", include("django.conf.urls.i18n")),  # set_language: the switch at the top of each page
]
