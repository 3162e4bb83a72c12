// Copying, also where the browser has no clipboard to offer (plain http).
export async function toClipboard(text) {
  if (window.ClipboardItem && navigator.clipboard?.write) {
    // The promise goes in whole: waiting for it first would use up the click that permits writing.
    return navigator.clipboard.write([new ClipboardItem({ "text/plain": text.then((plain) => new Blob([plain], { type: "text/plain" })) })]);
  }
  const area = Object.assign(document.createElement("textarea"), { value: await text });
  document.body.append(area);
  area.select();
  document.execCommand("copy"); // eslint-disable-line -- the only way on plain http
  area.remove();
}
