// Asks the server for the marks of all parts that are watched, together, and has the parts run again
// whose marks are not those they were drawn with. A mark that is null is not known.

const AGAIN_MS = 9000
// Of two parts that are told within the same moment Streamlit runs one.
const APART_MS = 400
// A run of a part names the page that the browser knows of. Until it has heard that another is to be
// drawn, such a run would bring the old one back; so after what a reader does the parts wait for the
// page's next run, and no longer than this if there is none.
const ACTED_MS = 5000
const LEFT_MS = 15000
const LATER_MS = 200
const parts = new Map()
let clock = null
let acted = { run: "", until: 0 }

function waitForRun(ms) {
  const run = newestRun()
  const until = Math.max(Date.now() + ms, acted.run === run ? acted.until : 0)
  acted = { run, until }
}

const newestRun = () => [...parts.values()].at(-1)?.data.run

const leads = (node) => node.matches?.('a[href]:not([href^="#"], [target="_blank"])')

function onAct(event) {
  waitForRun(event.composedPath().some(leads) ? LEFT_MS : ACTED_MS)
}

for (const type of ["click", "keydown", "change"]) window.addEventListener(type, onAct, true)
window.addEventListener("popstate", () => waitForRun(LEFT_MS), true)

function tell(part) {
  const waits = Date.now() < acted.until && newestRun() === acted.run
  if (waits) part.waits = setTimeout(tell, LATER_MS, part)
  else part.tell("changed", part.changed)
}

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
  const told = [...parts.values()].filter((part) => look(part, found))
  told.forEach((part, number) => {
    part.waits = setTimeout(tell, part.wait + APART_MS * number, part)
  })
}

// Whether a part is to be run again, and after how long.
function look(part, found) {
  const { marks, spread } = part.data
  const changed = Object.keys(marks).filter((name) => (found[name] ?? marks[name]) !== marks[name])
  if (!changed.length || Date.now() < part.again) return false
  const longest = 1000 * Math.min(...changed.map((name) => spread[name] ?? 0))
  Object.assign(part, {
    changed: changed.join(" "),
    wait: longest * Math.random(),
    again: Date.now() + longest + AGAIN_MS,
  })
  return true
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
  parts.delete(parentElement) // the newest is the last
  parts.set(parentElement, { data, tell: setTriggerValue, again: 0 })
  begin(data.every)
  return () => {
    clearTimeout(parts.get(parentElement)?.waits)
    parts.delete(parentElement)
  }
}
