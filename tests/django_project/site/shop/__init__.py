from shop.background import app as app
