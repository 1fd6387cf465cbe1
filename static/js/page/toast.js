// A few words at the top that go by themselves, with one thing to do about them where there is one.

/** Answers `tell(text, {label, act, seconds})`; `tell.act()` does what the present one offers. */
export function toast(element) {
  let timer = null;
  const hide = () => {
    element.replaceChildren();
    tell.act = () => {};
  };
  const tell = (text, { label, act = () => {}, seconds = 4 } = {}) => {
    clearTimeout(timer);
    timer = setTimeout(hide, seconds * 1000);
    element.replaceChildren(text);
    tell.act = () => {
      hide();
      act();
    };
    if (label) element.append(button(label, () => tell.act()));
  };
  tell.act = () => {};
  return tell;
}

function button(label, act) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = label;
  element.addEventListener("click", act);
  return element;
}
