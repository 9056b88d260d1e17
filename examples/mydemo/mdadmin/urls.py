from django.urls import path

from mdadmin import views

urlpatterns = [
    path("email/", views.SendEmailView.as_view(), name="send-email"),
    path("sent/", views.SentView.as_view(), name="sent"),
    path("active/<str:token>", views.ActiveView.as_view(), name="active"),
    path("welcome/", views.WelcomeView.as_view(), name="welcome"),
]
