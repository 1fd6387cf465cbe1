// The code of a link stands behind the #, so that no server sees it before the form is sent: fill it in.
function takeCode() {
  const field = document.querySelector("input[name=code]");
  const code = location.hash.slice(1);
  if (!field || !code) return;
  field.value = code;
  // Gone from the address, and so from the history and from what is shared.
  history.replaceState(null, "", location.pathname + location.search);
  document.querySelector("input[name=name], input[name=password]")?.focus();
}

takeCode();
// A link that is opened where this page is open already loads nothing anew.
addEventListener("hashchange", takeCode);

for (const box of document.querySelectorAll("[data-shows]")) {
  box.hidden = false;
  box.querySelector("input").addEventListener("change", (event) => {
    document.getElementById(box.dataset.shows).type = event.target.checked ? "text" : "password";
  });
}
