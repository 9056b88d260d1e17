from django.core import signing
from django.test import TestCase, override_settings
from django.utils import timezone

from mdadmin import tokens
from mdadmin.models import User
from mdadmin.tokens import BadToken, Flaw


class Tokens(TestCase):
    def setUp(self) -> None:
        User.sign_up("ann@example.com", "en")
        self.ann = User.objects.get()

    def flaw(self, token: str) -> Flaw:
        with self.assertRaises(BadToken) as caught:
            tokens.read(token)
        return caught.exception.flaw

    def test_names_its_account(self) -> None:
        self.assertEqual(tokens.read(tokens.make(self.ann)), self.ann)

    def test_a_newer_one_does_not_end_an_older_one(self) -> None:
        old, new = tokens.make(self.ann), tokens.make(self.ann)
        self.assertEqual(tokens.read(old), tokens.read(new))

    def test_expires(self) -> None:
        token = tokens.make(self.ann)
        with override_settings(ACTIVATION_SECONDS=-1):
            self.assertIs(self.flaw(token), Flaw.EXPIRED)

    def test_ends_with_the_state_it_was_made_for(self) -> None:
        token = tokens.make(self.ann)
        fresh = {"email_verified_at": None, "email": "ann@example.com", "password": self.ann.password}
        cases = [
            (Flaw.USED, {"email_verified_at": timezone.now()}),
            (Flaw.OUTDATED, {"email": "ann@elsewhere.example"}),
            (Flaw.OUTDATED, {"password": "another"}),
        ]
        for flaw, change in cases:
            with self.subTest(change=change):
                User.objects.filter(pk=self.ann.pk).update(**fresh | change)
                self.assertIs(self.flaw(token), flaw)

    def test_does_not_let_a_banned_account_in_again(self) -> None:
        token = tokens.make(self.ann)
        User.objects.update(is_active=False)
        self.assertIs(self.flaw(token), Flaw.OUTDATED)
        User.objects.update(email_verified_at=timezone.now())
        self.assertIs(self.flaw(token), Flaw.OUTDATED)

    def test_a_token_made_while_banned_is_none(self) -> None:
        User.objects.update(is_active=False)
        self.assertIs(self.flaw(tokens.make(User.objects.get())), Flaw.OUTDATED)

    def test_what_another_feature_signed_is_none(self) -> None:
        for salt in ("password-reset", "django.core.signing", tokens.PURPOSE + "x"):
            self.assertIs(self.flaw(signing.dumps([self.ann.pk, tokens.fingerprint(self.ann)], salt=salt)), Flaw.INVALID)

    def test_any_text_is_no_worse_than_invalid(self) -> None:
        good = tokens.make(self.ann)
        shapes: list[object] = [None, 1, "x", [], [1], [1, 2, 3], {"user": 1}, [None, None]]
        shapes += [["x", "y"], [10**40, "y"], [987654, "y"], [True, 3], [1.5, "y"]]
        signed = [signing.dumps(shape, salt=tokens.PURPOSE) for shape in shapes]
        for token in ["", ":", "::", "a:b:c", "激活", "\0", "x" * 9000, good[:-1], good + "A", good.swapcase(), *signed]:
            with self.subTest(token=token[:60]):
                self.assertIn(self.flaw(token), (Flaw.INVALID, Flaw.OUTDATED))
