// Buttons that copy the text of the element they name in data-from.
import { toClipboard } from "./clipboard.js";
import { does } from "./does.js";

does["copy-text"] = async (button) => {
  await toClipboard(Promise.resolve(document.getElementById(button.dataset.from).textContent));
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
};
