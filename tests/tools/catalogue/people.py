"""Where people write: chat, mail, calendars, files."""

import base64

from tests.tools.catalogue.case import Account, Exchange, case
from tests.tools.catalogue.vendor import Answer

GOOGLE_REFUSAL = Answer({"error": {"code": 403, "message": "Insufficient Permission", "status": "PERMISSION_DENIED"}}, 403)
GOOGLE = Account(
    {"access_token": "canary-google-token"}, {"authorization": "Bearer canary-google-token"}, GOOGLE_REFUSAL, "Insufficient Permission"
)
MAIL = (
    b"To: bob@example.com\nSubject: Hi\n"
    b'Content-Type: text/plain; charset="utf-8"\nContent-Transfer-Encoding: 7bit\nMIME-Version: 1.0\n\nHello Bob\n'
)
HEADERS = [{"name": "From", "value": "bob@example.com"}, {"name": "Subject", "value": "Hi"}]

ACCOUNTS = {
    "slack": Account(
        {"token": "canary-slack-token"},
        {"authorization": "Bearer canary-slack-token"},
        Answer({"ok": False, "error": "channel_not_found"}),
        "channel_not_found",
    ),
    "discord": Account(
        {"bot_token": "canary-discord-token"},
        {"authorization": "Bot canary-discord-token", "user-agent": "DiscordBot (https://github.com, 1.0)"},
        Answer({"message": "Unknown Channel", "code": 10003}, 404),
        "Unknown Channel",
    ),
    "telegram": Account(
        {"bot_token": "12345:canary-telegram_Token"},
        {},
        Answer({"ok": False, "error_code": 400, "description": "Bad Request: chat not found"}, 400),
        "Bad Request: chat not found",
    ),
    "teams": Account(
        {"webhook_url": "https://prod-01.westeurope.logic.azure.com/workflows/canary-workflow/triggers/manual?sig=canary-signature"},
        {},
        Answer({"error": {"code": "InvalidRequest", "message": "The card is malformed."}}, 400),
        "The card is malformed.",
    ),
    "twilio": Account(
        {"account_sid": "AC42", "auth_token": "canary-twilio-token", "from_number": "+15005550006"},
        {"authorization": "Basic " + base64.b64encode(b"AC42:canary-twilio-token").decode()},
        Answer({"code": 21211, "message": "The 'To' number is not a valid phone number.", "status": 400}, 400),
        "not a valid phone number",
    ),
    "google-calendar": GOOGLE,
    "gmail": GOOGLE,
    "google-drive": GOOGLE,
    "google-sheets": GOOGLE,
    "outlook": Account(
        {"access_token": "canary-graph-token"},
        {"authorization": "Bearer canary-graph-token"},
        Answer({"error": {"code": "ErrorAccessDenied", "message": "Access is denied. Check credentials and try again."}}, 403),
        "Access is denied.",
    ),
    "dropbox": Account(
        {"access_token": "canary-dropbox-token"},
        {"authorization": "Bearer canary-dropbox-token"},
        Answer({"error_summary": "path/not_found/..", "error": {".tag": "path"}}, 409),
        "path",
    ),
    "resend": Account(
        {"from": "Support <support@example.com>", "resend_api_key": "canary-resend-key"},
        {"authorization": "Bearer canary-resend-key"},
        Answer({"statusCode": 422, "name": "validation_error", "message": "Invalid `to` field."}, 422),
        "Invalid `to` field.",
    ),
}

CASES = [
    case(
        "slack-post-message",
        {"channel": "#general", "text": "Hi *all* <@U1> äöü", "thread_ts": "1.2"},
        Exchange(
            "POST https://slack.com/api/chat.postMessage",
            {"ok": True, "channel": "C1", "ts": "1503435956.000247", "message": {}},
            sends={"channel": "#general", "text": "Hi *all* <@U1> äöü", "thread_ts": "1.2"},
            headers={"content-type": "application/json; charset=utf-8"},
        ),
        gives={"channel": "C1", "ts": "1503435956.000247"},
    ),
    case(
        "slack-list-channels",
        {},
        Exchange(
            "GET https://slack.com/api/conversations.list",
            {"ok": True, "channels": [{"id": "C1", "name": "general", "topic": {"value": "All"}, "num_members": 4}]},
            query={"limit": "100", "exclude_archived": "true"},
        ),
        gives=[{"id": "C1", "name": "general", "topic": "All", "members": 4}],
    ),
    case(
        "slack-read-channel",
        {"channel": "C1", "limit": 2},
        Exchange(
            "GET https://slack.com/api/conversations.history",
            {"ok": True, "messages": [{"type": "message", "user": "U1", "text": "Hi", "ts": "1.2"}]},
            query={"channel": "C1", "limit": "2"},
        ),
        gives=[{"ts": "1.2", "user": "U1", "text": "Hi"}],
    ),
    case(
        "discord-post-message",
        {"channel_id": "99", "content": "@everyone hi"},
        Exchange(
            "POST https://discord.com/api/v10/channels/99/messages",
            {"id": "1", "channel_id": "99", "timestamp": "2026-01-01T00:00:00+00:00"},
            sends={"content": "@everyone hi", "allowed_mentions": {"parse": ["users"]}},
        ),
        gives={"id": "1", "channel_id": "99", "timestamp": "2026-01-01T00:00:00+00:00"},
    ),
    case(
        "discord-read-channel",
        {"channel_id": "99"},
        Exchange(
            "GET https://discord.com/api/v10/channels/99/messages",
            [{"id": "1", "author": {"username": "ada"}, "content": "hi", "timestamp": "t"}],
            query={"limit": "20"},
        ),
        gives=[{"id": "1", "author": "ada", "content": "hi", "timestamp": "t"}],
    ),
    case(
        "telegram-send-message",
        {"chat_id": "@news", "text": "Hi"},
        Exchange(
            "POST https://api.telegram.org/bot12345:canary-telegram_Token/sendMessage",
            {"ok": True, "result": {"message_id": 5, "chat": {"id": -100}, "date": 1767225600}},
            sends={"chat_id": "@news", "text": "Hi", "disable_notification": False},
        ),
        gives={"message_id": 5, "chat": -100, "date": 1767225600},
    ),
    case(
        "teams-post-message",
        {"title": "Build", "text": "It is **green**"},
        Exchange(
            "POST https://prod-01.westeurope.logic.azure.com/workflows/canary-workflow/triggers/manual",
            "",
            query={"sig": "canary-signature"},
            sends={
                "type": "message",
                "attachments": [
                    {
                        "contentType": "application/vnd.microsoft.card.adaptive",
                        "content": {
                            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                            "type": "AdaptiveCard",
                            "version": "1.4",
                            "body": [
                                {"type": "TextBlock", "text": "Build", "size": "Medium", "weight": "Bolder", "wrap": True},
                                {"type": "TextBlock", "text": "It is **green**", "wrap": True},
                            ],
                        },
                    }
                ],
            },
            status=202,
        ),
        gives="Posted.",
    ),
    case(
        "twilio-send-sms",
        {"to": "+15005550009", "body": "Hi there & bye"},
        Exchange(
            "POST https://api.twilio.com/2010-04-01/Accounts/AC42/Messages.json",
            {"sid": "SM1", "status": "queued", "to": "+15005550009", "num_segments": "1"},
            form={"To": "+15005550009", "From": "+15005550006", "Body": "Hi there & bye"},
            status=201,
        ),
        gives={"sid": "SM1", "status": "queued", "to": "+15005550009", "segments": "1"},
    ),
    case(
        "google-calendar-list-events",
        {"time_min": "2026-03-01T00:00:00Z", "calendar_id": "team@group.calendar.google.com"},
        Exchange(
            "GET https://www.googleapis.com/calendar/v3/calendars/team%40group.calendar.google.com/events",
            {"items": [{"id": "e1", "summary": "Standup", "start": {"dateTime": "2026-03-01T09:00:00Z"}, "end": {"dateTime": "x"}}]},
            query={"timeMin": "2026-03-01T00:00:00Z", "maxResults": "20", "singleEvents": "true", "orderBy": "startTime"},
        ),
        gives=[{"id": "e1", "summary": "Standup", "start": "2026-03-01T09:00:00Z", "end": "x"}],
    ),
    case(
        "google-calendar-create-event",
        {
            "summary": "Lunch",
            "start": "2026-03-01T12:00:00+01:00",
            "end": "2026-03-01T13:00:00+01:00",
            "attendees": ["bob@example.com"],
            "send_updates": "all",
        },
        Exchange(
            "POST https://www.googleapis.com/calendar/v3/calendars/primary/events",
            {"id": "e2", "summary": "Lunch", "htmlLink": "https://cal"},
            query={"sendUpdates": "all"},
            sends={
                "summary": "Lunch",
                "start": {"dateTime": "2026-03-01T12:00:00+01:00"},
                "end": {"dateTime": "2026-03-01T13:00:00+01:00"},
                "attendees": [{"email": "bob@example.com"}],
            },
        ),
        gives={"id": "e2", "summary": "Lunch", "url": "https://cal"},
    ),
    case(
        "gmail-search",
        {"query": "from:bob"},
        Exchange(
            "GET https://gmail.googleapis.com/gmail/v1/users/me/messages",
            {"messages": [{"id": "m1", "threadId": "t1"}], "resultSizeEstimate": 1},
            query={"q": "from:bob", "maxResults": "10"},
        ),
        Exchange(
            "GET https://gmail.googleapis.com/gmail/v1/users/me/messages/m1",
            {"id": "m1", "snippet": "Hello", "payload": {"headers": HEADERS}},
            query={"format": "metadata", "metadataHeaders": ["From", "To", "Subject", "Date"]},
        ),
        gives=[{"id": "m1", "from": "bob@example.com", "subject": "Hi", "snippet": "Hello"}],
    ),
    case(
        "gmail-read",
        {"id": "m1"},
        Exchange(
            "GET https://gmail.googleapis.com/gmail/v1/users/me/messages/m1",
            {
                "id": "m1",
                "payload": {
                    "mimeType": "multipart/alternative",
                    "headers": [*HEADERS, {"name": "Received", "value": "by mx"}],
                    "parts": [
                        {"mimeType": "text/plain", "body": {"data": "SGVsbG8gQm9i"}},
                        {"mimeType": "text/html", "body": {"data": "PGI-SGVsbG88L2I-"}},
                    ],
                },
            },
            query={"format": "full"},
        ),
        gives={"id": "m1", "from": "bob@example.com", "subject": "Hi", "text": "Hello Bob"},
    ),
    case(
        "gmail-send",
        {"to": ["bob@example.com"], "subject": "Hi", "body": "Hello Bob"},
        Exchange(
            "POST https://gmail.googleapis.com/gmail/v1/users/me/messages/send",
            {"id": "m2", "threadId": "t2", "labelIds": ["SENT"]},
            sends={"raw": base64.urlsafe_b64encode(MAIL).decode()},
        ),
        gives={"id": "m2", "thread": "t2"},
    ),
    case(
        "google-drive-search",
        {"query": "Ada's plan \\ budget"},
        Exchange(
            "GET https://www.googleapis.com/drive/v3/files",
            {"files": [{"id": "f1", "name": "Plan", "mimeType": "text/plain"}]},
            query={
                "q": "fullText contains 'Ada\\'s plan \\\\ budget' and trashed = false",
                "pageSize": "10",
                "fields": "files(id,name,mimeType,modifiedTime,webViewLink)",
            },
        ),
        gives=[{"id": "f1", "name": "Plan", "type": "text/plain"}],
    ),
    case(
        "google-drive-read",
        {"id": "f1"},
        Exchange(
            "GET https://www.googleapis.com/drive/v3/files/f1",
            {"name": "Plan", "mimeType": "application/vnd.google-apps.document"},
            query={"fields": "name,mimeType,size"},
        ),
        Exchange("GET https://www.googleapis.com/drive/v3/files/f1/export", "The plan", query={"mimeType": "text/plain"}),
        gives={"name": "Plan", "text": "The plan"},
    ),
    case(
        "google-sheets-read",
        {"spreadsheet_id": "s1", "range": "My sheet!A1:B2"},
        Exchange(
            "GET https://sheets.googleapis.com/v4/spreadsheets/s1/values/My%20sheet%21A1%3AB2",
            {"range": "'My sheet'!A1:B2", "majorDimension": "ROWS", "values": [["a", "b"]]},
        ),
        gives={"range": "'My sheet'!A1:B2", "values": [["a", "b"]]},
    ),
    case(
        "google-sheets-append",
        {"spreadsheet_id": "s1", "range": "A1", "rows": [["a", 1, True, None]]},
        Exchange(
            "POST https://sheets.googleapis.com/v4/spreadsheets/s1/values/A1:append",
            {"spreadsheetId": "s1", "updates": {"updatedRange": "Sheet1!A2:D2", "updatedRows": 1}},
            query={"valueInputOption": "USER_ENTERED", "insertDataOption": "INSERT_ROWS"},
            sends={"values": [["a", 1, True, None]]},
        ),
        gives={"range": "Sheet1!A2:D2", "rows": 1},
    ),
    case(
        "outlook-list-events",
        {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z"},
        Exchange(
            "GET https://graph.microsoft.com/v1.0/me/calendarView",
            {"value": [{"id": "e1", "subject": "Standup", "attendees": [{"emailAddress": {"address": "bob@example.com"}}]}]},
            query={
                "startDateTime": "2026-03-01T00:00:00Z",
                "endDateTime": "2026-03-02T00:00:00Z",
                "$top": "20",
                "$orderby": "start/dateTime",
                "$select": "id,subject,start,end,location,attendees,webLink",
            },
        ),
        gives=[{"id": "e1", "subject": "Standup", "attendees": ["bob@example.com"]}],
    ),
    case(
        "outlook-create-event",
        {"subject": "Lunch", "start": "2026-03-01T12:00", "end": "2026-03-01T13:00", "body": "Soup", "attendees": ["bob@example.com"]},
        Exchange(
            "POST https://graph.microsoft.com/v1.0/me/events",
            {
                "id": "e2",
                "subject": "Lunch",
                "start": {"dateTime": "2026-03-01T12:00:00.0000000", "timeZone": "UTC"},
                "webLink": "https://o",
            },
            sends={
                "subject": "Lunch",
                "start": {"dateTime": "2026-03-01T12:00", "timeZone": "UTC"},
                "end": {"dateTime": "2026-03-01T13:00", "timeZone": "UTC"},
                "body": {"contentType": "text", "content": "Soup"},
                "location": {},
                "attendees": [{"emailAddress": {"address": "bob@example.com"}, "type": "required"}],
            },
            status=201,
        ),
        gives={"id": "e2", "subject": "Lunch", "start": "2026-03-01T12:00:00.0000000", "url": "https://o"},
    ),
    case(
        "outlook-search-mail",
        {"query": 'subject:"budget"'},
        Exchange(
            "GET https://graph.microsoft.com/v1.0/me/messages",
            {"value": [{"id": "m1", "subject": "Budget", "from": {"emailAddress": {"address": "bob@example.com"}}, "bodyPreview": "Hi"}]},
            query={
                "$search": '"subject: budget "',
                "$top": "10",
                "$select": "id,subject,from,receivedDateTime,bodyPreview,webLink",
            },
        ),
        gives=[{"id": "m1", "subject": "Budget", "sender": "bob@example.com", "preview": "Hi"}],
    ),
    case(
        "outlook-send-mail",
        {"to": ["bob@example.com"], "subject": "Hi", "body": "Hello"},
        Exchange(
            "POST https://graph.microsoft.com/v1.0/me/sendMail",
            None,
            sends={
                "message": {
                    "subject": "Hi",
                    "body": {"contentType": "Text", "content": "Hello"},
                    "toRecipients": [{"emailAddress": {"address": "bob@example.com"}}],
                    "ccRecipients": [],
                },
                "saveToSentItems": True,
            },
            status=202,
        ),
        gives="Done.",
    ),
    case(
        "dropbox-search",
        {"query": "plan"},
        Exchange(
            "POST https://api.dropboxapi.com/2/files/search_v2",
            {"matches": [{"metadata": {".tag": "metadata", "metadata": {"name": "plan.txt", "path_display": "/plan.txt", "size": 3}}}]},
            sends={"query": "plan", "options": {"max_results": 10}},
        ),
        gives=[{"name": "plan.txt", "path": "/plan.txt", "size": 3}],
    ),
    case(
        "dropbox-read",
        {"path": "/Größe.txt"},
        Exchange(
            "POST https://content.dropboxapi.com/2/files/download",
            "42",
            headers={"dropbox-api-arg": '{"path": "/Gr\\u00f6\\u00dfe.txt"}'},
        ),
        gives="42",
    ),
    case(
        "dropbox-write",
        {"path": "/a.txt", "content": "hällo"},
        Exchange(
            "POST https://content.dropboxapi.com/2/files/upload",
            {"name": "a.txt", "path_display": "/a.txt", "size": 6},
            sends="hällo".encode(),
            headers={
                "dropbox-api-arg": '{"path": "/a.txt", "mode": "add", "autorename": true}',
                "content-type": "application/octet-stream",
            },
        ),
        gives={"name": "a.txt", "path": "/a.txt", "size": 6},
    ),
    case(
        "send-email",
        {"to": "bob@example.com", "subject": "Hi", "text": "Hello"},
        Exchange(
            "POST https://api.resend.com/emails",
            {"id": "49a3999c"},
            sends={"from": "Support <support@example.com>", "to": ["bob@example.com"], "subject": "Hi", "text": "Hello"},
        ),
        gives={"id": "49a3999c"},
        account="resend",
    ),
]
