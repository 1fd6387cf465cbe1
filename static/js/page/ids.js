// crypto.randomUUID exists only in secure contexts; a class in one room uses http://192.168.…

/** A new client_id: 32 hex digits, 128 random bits. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
