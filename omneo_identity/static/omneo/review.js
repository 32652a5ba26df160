// Reviewing profiles with the keyboard. Everything here is a shortcut: without it, the page works by its buttons.
const form = document.getElementById("review");
const keys = document.getElementById("keys");
const areOn = document.getElementById("keys-on");
const FOCUSED = "review-focused";
const OFF = "review-keys-off";

// Letters as keys can be switched off: somebody who speaks to their browser says letters all the time.
keys.hidden = false;
areOn.checked = localStorage.getItem(OFF) === null;
areOn.addEventListener("change", () => {
  if (areOn.checked) {
    localStorage.removeItem(OFF);
  } else {
    localStorage.setItem(OFF, "yes");
  }
});

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]");
  if (!areOn.checked || isTyping || event.repeat || event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  const chosen = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (chosen) {
    event.preventDefault();
    chosen.click();
  }
});

// Who stays, and who belongs, change everything else: it is worked out anew, and the focus stays where it was.
form.addEventListener("change", (event) => {
  if (event.target.matches("[data-anew]")) {
    sessionStorage.setItem(FOCUSED, event.target.id);
    form.requestSubmit(document.getElementById("anew"));
  }
});

const focused = document.getElementById(sessionStorage.getItem(FOCUSED) || "merge-sentence");
sessionStorage.removeItem(FOCUSED);
if (document.activeElement === document.body && focused) {
  focused.focus({ preventScroll: focused.id === "merge-sentence" });
}
