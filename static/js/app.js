// What every signed-in page with the sidebar runs.
import "./menus.js";
import "./sidebar.js";
import "./palette.js";
import "./keys.js";

// The server groups chats by day; it learns from this where the day begins.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
document.cookie = `tz=${zone}; path=/; max-age=31536000; samesite=lax`;
