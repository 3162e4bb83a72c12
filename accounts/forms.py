"""What a person may change about their account."""

from typing import TYPE_CHECKING, Any, ClassVar

from allauth.account import forms as allauth_forms
from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from allauth.core import ratelimit
from django import forms
from django.conf import settings
from django.contrib.auth.password_validation import MinimumLengthValidator
from django.http import HttpRequest

from accounts import preferences
from accounts.models import ApiKey, User

if TYPE_CHECKING:
    UserForm = forms.ModelForm[User]
else:
    UserForm = forms.ModelForm


class SignupForm(allauth_forms.SignupForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password1"].help_text = f"At least {MinimumLengthValidator().min_length} characters."


class AddEmailForm(allauth_forms.AddEmailForm):  # type: ignore[misc]
    def clean_email(self) -> str:
        """Refuses what another account signs in with, which allauth would let become the primary of both.

        Where that address is confirmed and mail goes out, allauth's silence stands: it tells nobody who has an account.
        """
        email = str(super().clean_email())
        taken = User.objects.filter(email__iexact=email).exclude(pk=self.user.pk).exists()
        silent = bool(settings.EMAIL_URL) and EmailAddress.objects.filter(email__iexact=email, verified=True).exists()
        if taken and not silent:
            raise get_adapter().validation_error("email_taken")
        return email


class ProfileForm(UserForm):
    class Meta:
        model = User
        fields: ClassVar = ["name"]
        labels: ClassVar = {"name": "Your name"}
        help_texts: ClassVar = {"name": "Shown to you in the sidebar. Leave it empty to use your email address."}
        widgets: ClassVar = {"name": forms.TextInput(attrs={"autocomplete": "name"})}


class AppearanceForm(UserForm):
    class Meta:
        model = User
        fields: ClassVar = ["theme"]
        widgets: ClassVar = {"theme": forms.RadioSelect}


class ChatForm(UserForm):
    default_model = forms.ChoiceField(required=False, label="Model for new chats")

    class Meta:
        model = User
        fields: ClassVar = ["default_model", "custom_instructions", "side_calls"]
        labels: ClassVar = {"custom_instructions": "Instructions for every chat", "side_calls": "Name and summarise chats with a model"}
        help_texts: ClassVar = {
            "custom_instructions": "What should the assistant know about you, and how should it answer? Sent along with every message.",
            "side_calls": "Costs a little. Without it a chat is called by its first words, and of a very long one the start is forgotten.",
        }
        widgets: ClassVar = {"custom_instructions": forms.Textarea(attrs={"rows": 8})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model = self.fields["default_model"]
        assert isinstance(model, forms.ChoiceField)
        model.choices = [("", "The site's default"), *preferences.model_choices()]


class KeyForm(forms.Form):
    """What a new API key is. Its id comes with the form, so that a form sent twice makes one key."""

    id = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(
        max_length=200,
        label="Name",
        help_text="For you to know it by, such as the app that uses it.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scope = forms.ChoiceField(
        label="Scope",
        choices=[
            (ApiKey.Scope.STANDARD, "Standard: makes threads and sees only those"),
            (ApiKey.Scope.ADMIN, "Admin: sees every thread of your account, makes and revokes its keys"),
        ],
        widget=forms.RadioSelect,
    )
    max_spend_usd = forms.DecimalField(
        required=False,
        min_value=0,
        max_value=1_000_000_000,
        max_digits=16,
        decimal_places=6,
        label="Cap in dollars",
        help_text="What it may spend in its whole life. Empty means no cap of its own.",
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal", "placeholder": ""}),
    )


class CloseAccountForm(forms.Form):
    """Asks for the password, or for the address where there is no password."""

    def __init__(self, request: HttpRequest, user: User) -> None:
        super().__init__(request.POST if request.method == "POST" else None)
        self.request, self.user = request, user
        if user.has_usable_password():
            field = forms.CharField(
                label="Your password", widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}), strip=False
            )
        else:
            field = forms.CharField(label=f"Type {user.email} to confirm", widget=forms.TextInput(attrs={"autocomplete": "off"}))
        self.fields["confirmation"] = field

    def clean_confirmation(self) -> str:
        typed = str(self.cleaned_data["confirmation"])
        if not ratelimit.consume(self.request, action="reauthenticate", user=self.user):
            raise forms.ValidationError("Too many attempts. Please wait a minute and try again.")
        if self.user.has_usable_password():
            if not self.user.check_password(typed):
                raise forms.ValidationError("That is not your password.")
        elif typed.strip().lower() != self.user.email.lower():
            raise forms.ValidationError("That is not the address of this account.")
        return typed
