// Passkeys: a form with data-passkey asks the browser for a credential and then posts it.
//   data-passkey="get|create", options in data-options (JSON) or fetched from data-options-url.

const decode = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));

const encode = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

// The server speaks JSON with base64url where the browser wants and gives bytes.
function toBrowser(options) {
  const bytes = (list) => (list ?? []).map((one) => ({ ...one, id: decode(one.id) }));
  const ready = { ...options, challenge: decode(options.challenge) };
  if (options.user) ready.user = { ...options.user, id: decode(options.user.id) };
  if (options.excludeCredentials) ready.excludeCredentials = bytes(options.excludeCredentials);
  if (options.allowCredentials) ready.allowCredentials = bytes(options.allowCredentials);
  return ready;
}

function toServer(credential) {
  const { response } = credential;
  const fields = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const answer = Object.fromEntries(fields.filter((name) => response[name]).map((name) => [name, encode(response[name])]));
  if (response.getTransports) answer.transports = response.getTransports();
  return {
    id: credential.id,
    rawId: encode(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment,
    response: answer,
    clientExtensionResults: credential.getClientExtensionResults(),
  };
}

async function optionsOf(form) {
  if (form.dataset.options) return JSON.parse(form.dataset.options).publicKey;
  const response = await fetch(form.dataset.optionsUrl, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`options: ${response.status}`);
  return (await response.json()).request_options.publicKey;
}

async function credentialFor(form) {
  const publicKey = toBrowser(await optionsOf(form));
  if (form.dataset.passkey === "get") return navigator.credentials.get({ publicKey });
  const alone = form.elements.passwordless?.checked ?? false;
  publicKey.authenticatorSelection = {
    ...publicKey.authenticatorSelection,
    residentKey: alone ? "required" : "discouraged",
    requireResidentKey: alone,
    ...(alone && { userVerification: "required" }),
  };
  return navigator.credentials.create({ publicKey });
}

function sentence(error) {
  if (error.name === "NotAllowedError") return "The passkey was not used: it was cancelled or took too long.";
  if (error.name === "InvalidStateError") return "This device already has a passkey for your account.";
  if (error.name === "SecurityError") return "Passkeys need https, or http://localhost on your own machine.";
  return "That did not work. Please try again.";
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const notice = form.querySelector("[role=alert][hidden]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    notice.hidden = true;
    try {
      if (!window.PublicKeyCredential) throw new DOMException("", "SecurityError");
      form.elements.credential.value = JSON.stringify(toServer(await credentialFor(form)));
      form.submit();
    } catch (error) {
      notice.textContent = sentence(error);
      notice.hidden = false;
    }
  });
}
