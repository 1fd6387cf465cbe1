// Between short and long polling without a reload, from the same cursor.

export function switches(connection, line) {
  const links = [...document.querySelectorAll(".switch [data-transport]")];
  for (const link of links) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      for (const other of links) other.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
      line.textContent = link.dataset.line;
      connection.use([link.dataset.transport]);
      history.replaceState(null, "", link.href);
    });
  }
}
