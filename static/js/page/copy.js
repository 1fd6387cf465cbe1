// To the clipboard. Its own interface exists only in secure contexts; a class in one room uses http://192.168.…

/** Copies a text. False if the browser does not let this page do so. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

function copySelected(text) {
  const field = document.createElement("textarea");
  const before = document.activeElement;
  field.className = "hidden-text";
  field.readOnly = true; // no keyboard comes up on phones
  field.value = text;
  document.body.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    field.remove();
    before?.focus({ preventScroll: true });
  }
}
