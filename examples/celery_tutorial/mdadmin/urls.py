from django.urls import path

from mdadmin import views

urlpatterns = [
    path('email/', views.SendEmailView.as_view()),
    path('active/<token>', views.ActiveView.as_view()),
]
