// Numbers, times and lengths as text. Everything here takes a value and returns a string.

export function count(number) {
  return Number(number).toLocaleString("en-US");
}

export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

export function money(dollars, unpriced) {
  const digits = dollars >= 10 || !dollars ? 2 : 4;
  return "$" + dollars.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d)(?=.*\.))/g, ",") + (unpriced ? "+" : "");
}

export function duration(seconds) {
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`; // what is rounded to 1000 ms is a second
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

export function bytes(size) {
  if (size < 1024) return `${size} B`;
  return size < 1048576 ? `${(size / 1024).toFixed(1)} KB` : `${(size / 1048576).toFixed(1)} MB`;
}

export function percent(rate) {
  if (rate === null || rate === undefined) return "–";
  const whole = rate * 100; // "100%" is said of all and "0%" of none
  if ((whole > 0 && whole < 1) || (whole > 99 && whole < 100)) {
    return `${Math.min(Math.max(whole, 0.1), 99.9).toFixed(1)}%`;
  }
  return `${Math.round(whole)}%`;
}

export function when(stamp) {
  const date = new Date(stamp);
  return Number.isNaN(date.getTime()) ? stamp : date.toISOString().replace("T", " ").slice(0, 16) + " UTC";
}

const LONGEST_PRETTY = 200_000; // characters: longer JSON would keep a page busy

export function pretty(value) {
  if (typeof value !== "string") return JSON.stringify(value, null, 2) ?? "";
  if (value.length > LONGEST_PRETTY) return value;
  try {
    const parsed = JSON.parse(value);
    if (typeof parsed !== "object" || parsed === null) return value;
    return value.length <= 80 && !value.includes("\n") ? value : JSON.stringify(parsed, null, 2);
  } catch {
    return value;
  }
}

export function brief(value, longest) {
  return value.length > longest ? value.slice(0, longest - 1) + "…" : value;
}

// Cut in the middle: names of models differ at their ends.
export function shortened(name, longest) {
  if (name.length <= longest) return name;
  const end = Math.ceil(longest * 0.6);
  return `${name.slice(0, longest - end - 1)}…${name.slice(-end)}`;
}

// How long ago, for people; the exact time belongs beside it.
export function since(stamp, now = Date.now()) {
  const seconds = Math.max(0, (now - new Date(stamp).getTime()) / 1000);
  if (Number.isNaN(seconds)) return stamp;
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  if (seconds < 86400 * 14) return plural(Math.floor(seconds / 86400), "day") + " ago";
  return when(stamp).slice(0, 10);
}

// A place in a recording: 0:07, 12:30, 1:02:03.
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** What people call an execution. Names that the service makes say nothing to them: the number does. */
export function executionName({ id, name }) {
  return /^execution_[0-9a-z]{16,}$/.test(name) ? `no. ${id}` : name;
}
