from django.urls import include, path

urlpatterns = [path('mdadmin/', include('mdadmin.urls'))]
