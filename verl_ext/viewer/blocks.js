// Values from the page's blocks: base64 of compressed JSON, unpacked when a reader comes to them.

const KEPT_BLOCKS = 60;
const unpacked = new Map(); // name -> promise, the most recently used last

/** The text of a block, which may not have been read from the file yet. */
async function blockText(name) {
  for (;;) {
    const isRead = document.readyState !== "loading";
    const element = document.getElementById(name);
    if (element && (isRead || element.nextElementSibling)) return element.textContent;
    if (isRead) throw new Error(`This file is cut short: ${name} is not in it. Copy or write it again.`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function unpack(name) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("This browser is too old for the page: Chrome 80, Firefox 113, Safari 16.4 or a later one opens it.");
  }
  const bytes = bytesOf(await blockText(name));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

/** The value of a block; the last few are kept. */
function block(name) {
  const value = unpacked.get(name) ?? unpack(name);
  unpacked.delete(name);
  unpacked.set(name, value);
  if (unpacked.size > KEPT_BLOCKS) unpacked.delete(unpacked.keys().next().value);
  return value;
}

/** The value in a place of values that were packed one after the other. */
async function valueAt(chunks, place) {
  let low = 0;
  let high = chunks.starts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (chunks.starts[middle] <= place) low = middle;
    else high = middle - 1;
  }
  return (await block(`block${chunks.blocks[low]}`))[place - chunks.starts[low]];
}
