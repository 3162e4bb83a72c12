"""The icon set."""

from functools import cache

from django.utils.html import format_html
from django.utils.safestring import SafeString

# Drawn on a 20 by 20 grid; every entry is the `d` of one path.
ICONS = {
    "archive": "M3 4.5h14v3H3zM4.25 7.5v8h11.5v-8M8 10.5h4",
    "arrow-down": "M10 4v12M5 11l5 5 5-5",
    "arrow-up": "M10 16V4M5 9l5-5 5 5",
    "back": "M16 10H4M9 5l-5 5 5 5",
    "card": "M3 5.5h14v9H3zM3 8.5h14M5.5 12h3",
    "chart": "M3.5 16.5h13M5.5 13.5v-4M10 13.5v-9M14.5 13.5v-6",
    "check": "M4 10.5l4 4 8-9",
    "chevron-down": "M5.5 8l4.5 4.5L14.5 8",
    "chevron-left": "M12 5.5L7.5 10l4.5 4.5",
    "chevron-right": "M8 5.5l4.5 4.5L8 14.5",
    "clock": "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM10 6v4.2l2.8 1.8",
    "close": "M5 5l10 10M15 5L5 15",
    "code": "M7 5.5L2.5 10 7 14.5M13 5.5l4.5 4.5-4.5 4.5",
    "compose": "M10 4H4v12h12v-6M8 12l.6-2.6 6.6-6.6a1.4 1.4 0 0 1 2 2l-6.6 6.6z",
    "copy": "M7.5 7.5v-4h9v9h-4M3.5 7.5h9v9h-9z",
    "device": "M4 4.5h12v8H4zM2.5 15.5h15",
    "download": "M10 3.5v9M6 9l4 4 4-4M4 16.5h12",
    "edit": "M4 16l.8-3.4 8.4-8.4a1.8 1.8 0 0 1 2.6 2.6l-8.4 8.4zM11.8 5.6l2.6 2.6",
    "external": "M8 5H5v10h10v-3M11 4h5v5M16 4l-7 7",
    "flag": "M5 17V3.5M5 4h9.5l-2 3.5 2 3.5H5",
    "fork": "M6 7.5v9M6 7.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM14 7.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM14 7.5c0 4-8 2-8 6",
    "history": "M3.5 10a6.5 6.5 0 1 0 2-4.7L3.5 7.2M3.5 3.5v3.7h3.7M10 6.5V10l2.5 1.6",
    "info": "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM10 9.5V13.5M10 6.7v.1",
    "key": "M12.5 11.5a4 4 0 1 0-3.7-2.5L3.5 14.3V16.5H6v-2h2v-2l1.8-1.3a4 4 0 0 0 2.7.3zM13.3 6.7v.1",
    "keyboard": "M2.5 5.5h15v9h-15zM5.5 8.5v.1M8.5 8.5v.1M11.5 8.5v.1M14.5 8.5v.1M6.5 11.7h7",
    "lock": "M5 9h10v7.5H5zM7 9V6.5a3 3 0 0 1 6 0V9",
    "mail": "M3 5h14v10H3zM3.5 5.5L10 11l6.5-5.5",
    "menu": "M3.5 6h13M3.5 10h13M3.5 14h13",
    "more": "M4.3 10a.7.7 0 1 0 1.4 0 .7.7 0 1 0-1.4 0M9.3 10a.7.7 0 1 0 1.4 0 .7.7 0 1 0-1.4 0M14.3 10a.7.7 0 1 0 1.4 0 .7.7 0 1 0-1.4 0",
    "pin": "M7 3.5h6M8 3.5v5L5.5 12h9L12 8.5v-5M10 12v5",
    "play": "M6.5 4.5l9 5.5-9 5.5z",
    "plug": "M7.5 3v3.5M12.5 3v3.5M5 6.5h10v3a5 5 0 0 1-10 0zM10 14.5V17",
    "plus": "M10 4v12M4 10h12",
    "retry": "M16 10a6 6 0 1 1-1.8-4.3L16 7.5M16 3.5v4h-4",
    "search": "M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM13 13l4 4",
    "settings": "M3.5 6H9M13 6h3.5M11 4v4M3.5 14H7M11 14h5.5M9 12v4",
    "shield": "M10 3l6 2v4.5c0 3.7-2.5 6.3-6 7.5-3.5-1.2-6-3.8-6-7.5V5z",
    "sidebar": "M3 5.5A1.5 1.5 0 0 1 4.5 4h11A1.5 1.5 0 0 1 17 5.5v9a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 3 14.5zM8 4v12",
    "sign-out": "M8 4H4.5v12H8M8.5 10H17M13.5 6.5L17 10l-3.5 3.5",
    "speaker": "M4 8v4h2.5L10 15V5L6.5 8zM13 7.5a3.5 3.5 0 0 1 0 5M15 5.5a6.4 6.4 0 0 1 0 9",
    "stop": "M6.5 6.5h7v7h-7z",
    "thumb-down": "M7 12v-8.5h6.5a2 2 0 0 1 2 1.6l1 5a2 2 0 0 1-2 2.4H11.5v3.2a1.8 1.8 0 0 1-3.4.8L7 12H3.5V3.5H7",
    "thumb-up": "M7 8v8.5h6.5a2 2 0 0 0 2-1.6l1-5a2 2 0 0 0-2-2.4H11.5V4.3a1.8 1.8 0 0 0-3.4-.8L7 8H3.5v8.5H7",
    "tools": "M13.6 3.4a4 4 0 0 0-4.9 5.2l-5.2 5.2a1.9 1.9 0 0 0 2.7 2.7l5.2-5.2a4 4 0 0 0 5.2-4.9l-2.5 2.5-2.4-.6-.6-2.4z",
    "trash": "M4 6h12M8 6V4h4v2M5.5 6l.7 10h7.6l.7-10M8.5 9v4M11.5 9v4",
    "undo": "M7.5 4.5L4 8l3.5 3.5M4 8h7.5a4 4 0 0 1 0 8H8",
    "unpin": "M7 3.5h6M8 3.5v5L5.5 12h9L12 8.5v-5M10 12v5M3.5 3.5l13 13",
    "user": "M10 10a3.25 3.25 0 1 0 0-6.5 3.25 3.25 0 0 0 0 6.5zM4 16.5c.6-2.7 3-4 6-4s5.4 1.3 6 4",
    "warning": "M10 3.5l7.2 12.5H2.8zM10 8.5v3.5M10 14v.1",
}


@cache
def icon(name: str, classes: str = "") -> SafeString:
    """The drawing alone: the control around it carries the name for screen readers. An unknown name is an error."""
    return format_html('<svg class="icon {}" viewBox="0 0 20 20" aria-hidden="true"><path d="{}"/></svg>', classes, ICONS[name])
