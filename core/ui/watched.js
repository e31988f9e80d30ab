// Asks the server for the marks of all parts that are watched, together, and has the parts run again
// whose marks are not those they were drawn with. A mark that is null is not known.

const AGAIN_MS = 15000
const parts = new Map()
let clock = null

async function ask() {
  const names = new Set([...parts.values()].flatMap(({ data }) => Object.keys(data.marks)))
  const { address } = [...parts.values()][0].data
  let found
  try {
    const answer = await fetch(`${address}?of=${[...names].join(",")}`, { cache: "no-store" })
    if (!answer.ok) return
    found = await answer.json()
  } catch {
    return // The server is away, which the page says by itself.
  }
  for (const part of parts.values()) look(part, found)
}

function look(part, found) {
  const { marks, spread } = part.data
  const changed = Object.keys(marks).filter((name) => (found[name] ?? marks[name]) !== marks[name])
  if (!changed.length || Date.now() < part.asked + AGAIN_MS) return
  const longest = Math.min(...changed.map((name) => spread[name] ?? 0))
  part.asked = Date.now() + 1000 * longest
  part.waits = setTimeout(() => part.tell("changed", changed.join(" ")), 1000 * longest * Math.random())
}

function begin(every) {
  if (clock !== null) return
  // Not all pages at the same moment.
  clock = setTimeout(function again() {
    if (!parts.size) {
      clock = null
      return
    }
    clock = setTimeout(again, 1000 * every)
    ask()
  }, 1000 * every * Math.random())
}

export default function ({ data, parentElement, setTriggerValue }) {
  clearTimeout(parts.get(parentElement)?.waits)
  parts.set(parentElement, { data, tell: setTriggerValue, asked: 0 })
  begin(data.every)
  return () => {
    clearTimeout(parts.get(parentElement)?.waits)
    parts.delete(parentElement)
  }
}
