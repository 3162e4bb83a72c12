"""What other apps can listen to."""

from django.dispatch import Signal

# Sent by `accounts.actions.close_account` inside its transaction, with `user`, before the user's rows go. Whoever holds
# something of the user that no foreign key cascades to (journal rows, files, rows in other stores) erases it here.
account_closing = Signal()

# Sent with `user` when an operator made the account from the shell, for apps of their own.
account_opened_by_operator = Signal()
