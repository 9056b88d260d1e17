from django import forms


class EmailForm(forms.Form):
    email = forms.EmailField(max_length=254)

    def clean_email(self) -> str:
        """One person, one account: mail servers do not tell A@example.org from a@example.org."""
        return self.cleaned_data["email"].lower()
