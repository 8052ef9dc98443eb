// How things are said.

export const verdicts = ["admitted", "dropped", "audit", "forwarded"];

export const verdictName = { admitted: "Admitted", dropped: "Denied", audit: "Audit", forwarded: "Not judged yet" };

export const verdictMeaning = {
  admitted: "The receiving node admitted these flows.",
  dropped: "These packets were dropped.",
  audit: "Policy denies these flows; they pass because audit mode is on.",
  forwarded: "The sending node let these go; no receiving node has told its verdict. If it lasts, the tunnel between the nodes may be down.",
};

const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const number = (n) => (n < 10000 ? String(n) : short.format(n));

export const plural = (n, one, many = one + "s") => `${number(n)} ${n === 1 ? one : many}`;

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${unit && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

export function age(time, now) {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  if (seconds < 2) return "now";
  if (seconds < 120) return `${Math.floor(seconds)} s ago`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ago`;
}

export const clock = (time) => new Date(time).toLocaleTimeString("en-GB");

export const cut = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

// portOf names what a case asks for: "TCP 80".
export const portOf = (c) => (c.port && !c.protocol.startsWith("ICMP") ? `${c.protocol} ${c.port}` : c.protocol);

export const fullName = (w) => (w.namespace ? `${w.namespace}/${w.name}` : outsideName[w.name] ?? w.name);

export const shortName = (w) => (w.namespace ? w.name : outsideName[w.name] ?? w.name);

const outsideName = {
  world: "World", host: "Own node", "remote-node": "Other nodes", unmanaged: "Unmanaged", unknown: "Unknown",
};

const kinds = {
  Deployment: "D", StatefulSet: "SS", DaemonSet: "DS", ReplicaSet: "RS", Job: "J", CronJob: "CJ", Pod: "P", Pods: "P", Outside: "↗",
};

export const kindBadge = (kind) => kinds[kind] ?? kind.slice(0, 2).toUpperCase();

export function kindName(w) {
  if (w.kind === "Pods") return "Pods by label";
  return w.kind === "Outside" ? "Outside the pods" : w.kind;
}
