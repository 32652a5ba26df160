// "/" goes to the search box from anywhere, as in most tools that people search in all day.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  const box = document.getElementById("search-box");
  if (event.key === "/" && !typing && box && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    box.focus();
    box.select();
  }
});

// Names for what the admin's own scripts draw without one, whenever they draw it, so that a screen reader can say them.
const nameWhatIsDrawn = () => {
  for (const drawn of document.querySelectorAll(".select2-selection[aria-labelledby]")) {
    const select = drawn.closest(".select2-container").previousElementSibling;
    const label = document.querySelector(`label[for="${select.id}"]`);
    for (const part of [drawn, drawn.querySelector("[role=textbox]")]) {
      part.removeAttribute("aria-labelledby");
      part.setAttribute("aria-label", label ? label.textContent : select.name);
    }
  }
  for (const tip of document.querySelectorAll(".help-tooltip[aria-label]:not([role])")) {
    tip.setAttribute("role", "img");
  }
};
nameWhatIsDrawn();
new MutationObserver(nameWhatIsDrawn).observe(document.body, { childList: true, subtree: true });
