// The stream of the map: lines of JSON over one long answer, asked for again
// when it breaks.

const silence = 10000; // ms without a heartbeat: the command is gone
const retry = 1500;

export const token = takeToken();

// takeToken moves the token out of the address, so that it is in no bookmark,
// history entry or screenshot; a reload finds it in this tab's storage.
function takeToken() {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  return given || sessionStorage.getItem("token") || "";
}

// read calls onLine for every line, and onState with "live", "closed" or
// "refused" when that changes; it goes on for ever unless refused.
export async function read(onLine, onState) {
  for (;;) {
    const refused = await once(onLine, onState).catch(() => false);
    if (refused) return onState("refused");
    onState("closed");
    await new Promise((resolve) => setTimeout(resolve, retry));
  }
}

async function once(onLine, onState) {
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(), silence);
  try {
    const answer = await fetch("/api/map", { headers: { Authorization: `Bearer ${token}` }, signal: abort.signal });
    if (!answer.ok) return answer.status === 401;
    onState("live");
    let rest = "";
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return false;
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(), silence);
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) onLine(JSON.parse(line));
    }
  } finally {
    clearTimeout(timer);
  }
}
