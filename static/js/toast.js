// A short word that goes by itself.

export function toast(element, { milliseconds = 6_000 } = {}) {
  let timer;
  return (text) => {
    clearTimeout(timer);
    element.textContent = text;
    timer = setTimeout(() => { element.textContent = ""; }, milliseconds);
  };
}
