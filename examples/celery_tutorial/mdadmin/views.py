import json

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer as Serializer
from celery_tasks.tasks import send_mail_task


@method_decorator(csrf_exempt, name='dispatch')  # it is posted to by a program, not by a form
class SendEmailView(View):
    """
    发送邮件
    """
    def post(self, request):
        print(request.POST)
        email = request.POST.get('email')
        user_info = {"user": 1}
        serialize = Serializer(settings.SECRET_KEY)
        token = serialize.dumps(user_info)
        send_mail_task.delay(email, token)
        return HttpResponse(json.dumps({'msg': 'OK', 'code': 200}))


class ActiveView(View):
    """
    激活用户
    """
    def get(self, request, token):
        serialize = Serializer(settings.SECRET_KEY)
        try:
            user_info = serialize.loads(token, max_age=1800)
            print(user_info)
            user_id = user_info["user"]
            print(user_id)
            user = User.objects.get(pk=user_id)
            user.is_active = True
            user.save()
            return HttpResponse(json.dumps({'msg': '激活成功', 'code': 200}, ensure_ascii=False))
        except SignatureExpired:
            return HttpResponse(json.dumps({'msg': '激活链接失效，请重新发送邮件进行激活', 'code': 404}, ensure_ascii=False))
        except BadData:  # not in the tutorial, where a forged link ends in a server error
            return HttpResponse(json.dumps({'msg': '激活链接失效，请重新发送邮件进行激活', 'code': 404}, ensure_ascii=False))
