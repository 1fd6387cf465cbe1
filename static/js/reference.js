// The reference page: what is shown as a line can be copied.

document.documentElement.classList.add("js");
const told = document.getElementById("copied");

document.addEventListener("click", async ({ target }) => {
  const text = target.dataset?.copy;
  if (text === undefined) return;
  await navigator.clipboard.writeText(text);
  told.textContent = "Copied.";
  target.textContent = "Copied";
  setTimeout(() => {
    target.textContent = "Copy";
    told.textContent = "";
  }, 1500);
});
