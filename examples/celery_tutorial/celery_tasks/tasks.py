from celery_tasks.celery import app as celery_app  # 导入创建好的celery应用
from django.core.mail import send_mail  # 使用django内置函数发送邮件
from django.conf import settings  # 导入django的配置


@celery_app.task
def send_mail_task(email, token):
    # 使用django内置函数发送邮件
    subject = "海上明月"
    message = ""
    sender = settings.EMAIL_FROM
    recipient = [email]
    html_message = "<h1>{}恭喜您成为美多商城会员，请点击以下链接进行激活邮箱：<a href='http://127.0.0.1:8000/mdadmin/active/{}'>\
    http://127.0.0.1:8000/mdadmin/active/{}</a></h1>".format("海上明月", token, token)
    send_mail(subject, message, sender, recipient, html_message=html_message)
