// Draws the rows it is given. Every text arrives formatted; nothing is computed here but places.

const STRIP = { width: 152, height: 36, gap: 2 }
const SPARK = { width: 84, height: 24, pad: 2 }

const esc = (text) =>
  String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

const svg = (width, height, label, body, cls) =>
  `<svg class="${cls}" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"` +
  (label ? ` role="img" aria-label="${esc(label)}">` : ` aria-hidden="true">`) +
  `${body}</svg>`

const DIRECTION = {
  "1": `<path d="M6 1.5 11 10.5H1Z"/>`,
  "-1": `<path d="M6 10.5 1 1.5h10Z"/>`,
  "0": `<path d="M1 5h10v2H1Z"/>`,
  null: `<circle cx="6" cy="6" r="4" class="hollow"/>`,
}
const TONE = { "1": "long", "-1": "short", "0": "flat", null: "flat" }

const VERDICT = {
  CONFIRM: `<circle cx="6" cy="6" r="5"/>`,
  DOWNSIZE: `<circle cx="6" cy="6" r="4.25" class="hollow"/><path d="M6 1.75a4.25 4.25 0 0 0 0 8.5Z"/>`,
  WAIT: `<circle cx="6" cy="6" r="4.25" class="hollow"/>`,
  SKIP: `<circle cx="6" cy="6" r="4.25" class="hollow"/><path d="M3 3l6 6M9 3 3 9" class="hollow"/>`,
}

// Left edge and width of each factor's bar: as wide as its weight.
function slots(factors) {
  const room = STRIP.width - STRIP.gap * (factors.length - 1)
  let left = 0
  return factors.map(({ share }) => {
    const slot = { left, width: Math.max(room * share, 3) }
    left += slot.width + STRIP.gap
    return slot
  })
}

function strip(row, factors, places) {
  const middle = STRIP.height / 2
  const bars = row.factors.map((value, at) => {
    const { left, width } = places[at]
    if (value === null) {
      return `<rect x="${left}" y="${middle - 3}" width="${width}" height="6" fill="url(#missing)"/>`
    }
    const size = Math.max((Math.abs(value - 50) / 50) * (middle - 1), 0.75)
    const tone = value > 50 ? "long" : value < 50 ? "short" : "flat"
    return `<rect class="${tone}" x="${left}" y="${value >= 50 ? middle - size : middle}" width="${width}" height="${size}"/>`
  })
  const said = factors.map(
    ({ title }, at) => `${title} ${row.factors[at] ?? "unknown"}`,
  )
  const axis = `<path class="axis" d="M0 ${middle}H${STRIP.width}"/>`
  return svg(STRIP.width, STRIP.height, said.join(", "), bars.join("") + axis, "strip")
}

function sparkline(heights) {
  if (!heights.length) return `<span class="none" title="not enough closes in the last 24 h">–</span>`
  const step = (SPARK.width - 2 * SPARK.pad) / (heights.length - 1)
  const room = SPARK.height - 2 * SPARK.pad
  const point = (height, at) =>
    `${(SPARK.pad + at * step).toFixed(1)} ${(SPARK.pad + room * (1 - height / 100)).toFixed(1)}`
  let path = ""
  heights.forEach((height, at) => {
    if (height === null) return
    path += (heights[at - 1] ?? null) === null ? `M${point(height, at)}` : `L${point(height, at)}`
  })
  const last = heights.at(-1)
  const end = last === null ? "" : point(last, heights.length - 1).split(" ")
  const dot = end ? `<circle cx="${end[0]}" cy="${end[1]}" r="2"/>` : ""
  return svg(SPARK.width, SPARK.height, "", `<path d="${path}"/>${dot}`, "spark")
}

function bar(name, value) {
  const text = value === null ? "–" : `${value}\u00a0%`
  const fill = value === null ? "" : `<i style="width:${value}%"></i>`
  return (
    `<span class="bar" title="${name} ${text}"><span class="name">${name}</span>` +
    `<span class="${value === null ? "track unknown" : "track"}">${fill}</span><span class="of">${text}</span></span>`
  )
}

const cell = (cls, body, title) =>
  `<div role="cell" class="${cls}"${title ? ` title="${esc(title)}"` : ""}>${body}</div>`

function rowHtml(row, factors, places) {
  const tone = TONE[row.direction]
  const none = row.direction === null
  const verdict = none
    ? cell("why", `<span class="short">${esc(row.lacks)}</span><span class="full">${esc(row.why)}</span>`, row.why)
    : cell(
        "verdict",
        svg(12, 12, "", VERDICT[row.verdict] ?? "", "shape") + `<span>${esc(row.verdict)}</span>` +
          (row.lowered ? `<small class="lowered">↓ model</small>` : ""),
        (row.lowered ? [row.lowered, ...row.reasons] : row.reasons).join("\n"),
      )
  return (
    `<div role="row" class="row ${none ? "silent" : ""}" data-symbol="${esc(row.symbol)}">` +
    cell("symbol", `<a href="${esc(row.href)}">${esc(row.symbol)}</a>`) +
    cell(`direction ${tone}`, svg(12, 12, "", DIRECTION[row.direction], "shape") + `<span>${esc(row.word)}</span>`) +
    cell("score", esc(row.score), none ? row.why : `conviction ${row.conviction} of 100`) +
    cell("factors", strip(row, factors, places)) +
    verdict +
    cell("shares", bar("Agreement", row.agreement) + bar("Coverage", row.coverage)) +
    cell("price", esc(row.price)) +
    cell("change", esc(row.change)) +
    cell("trend", sparkline(row.spark)) +
    cell(row.stale ? "age stale" : "age", esc(row.age), `bar of ${row.at}\n${row.sources}`) +
    `</div>`
  )
}

function titleHtml({ title, orders }, order, falling) {
  if (!orders.length) return `<span>${esc(title)}</span>`
  const arrow = orders.includes(order) ? `<i aria-hidden="true">${falling ? "↓" : "↑"}</i>` : ""
  return `<button type="button" data-orders="${esc(orders.join("|"))}">${arrow}${esc(title)}</button>`
}

function lettersHtml(factors, places) {
  const letters = factors.map(
    ({ letter, title, share }, at) =>
      `<span style="left:${places[at].left}px;width:${places[at].width}px" title="${esc(title)}, ${Math.round(100 * share)}\u00a0% of the weight">${letter}</span>`,
  )
  return `<span class="letters" aria-hidden="true">${letters.join("")}</span>`
}

function headHtml({ columns, order, falling, factors }, places) {
  const cells = columns.map(({ parts, hint }) => {
    const on = parts.some(({ orders }) => orders.includes(order))
    const sorted = on ? (falling ? "descending" : "ascending") : "none"
    const name = parts[0].title
    const titles = parts.map((part) => titleHtml(part, order, falling)).join("")
    return (
      `<div role="columnheader" class="of-${name.replace(/\W/g, "").toLowerCase()}" title="${esc(hint)}" aria-sort="${sorted}">` +
      `${titles}${name === "Factors" ? lettersHtml(factors, places) : ""}</div>`
    )
  })
  return `<div role="row" class="row head">${cells.join("")}</div>`
}

function showTip(root, row, factors, mark) {
  const tip = root.querySelector(".tip")
  tip.innerHTML = factors
    .map(({ title, share }, at) => {
      const value = row.factors[at]
      const tone = value === null ? "flat" : value > 50 ? "long" : value < 50 ? "short" : "flat"
      const lean = value === null ? "not known" : value > 50 ? "bullish" : value < 50 ? "bearish" : "neutral"
      return `<span>${esc(title)}</span><span class="n">${Math.round(100 * share)}\u00a0%</span><span class="n">${value ?? "–"}</span><span class="${tone}">${lean}</span>`
    })
    .join("")
  tip.insertAdjacentHTML("afterbegin", `<b>Factor</b><b class="n">weight</b><b class="n">0–100</b><b></b>`)
  tip.hidden = false
  const box = root.getBoundingClientRect()
  const at = mark.getBoundingClientRect()
  const below = at.bottom + tip.offsetHeight + 12 < window.innerHeight
  const left = Math.min(at.left - box.left, box.width - tip.offsetWidth)
  tip.style.left = `${Math.max(left, 0)}px`
  tip.style.top = `${below ? at.bottom - box.top + 6 : at.top - box.top - tip.offsetHeight - 6}px`
}

function listen(root, state) {
  // As when the reader goes forward to that address: one step in the history, and no new session.
  // Streamlit's own switch of pages adds up to four, of which "back" shows each.
  const open = (row) => {
    row.classList.add("opening")
    const to = new URL(row.querySelector("a").href)
    // The address knows of a switch before the rows that were drawn before it.
    const here = new URLSearchParams(location.search)
    for (const name of state.data.shared) {
      if (here.has(name)) to.searchParams.set(name, here.get(name))
      else to.searchParams.delete(name)
    }
    history.pushState(null, "", to)
    window.dispatchEvent(new PopStateEvent("popstate"))
  }
  root.onclick = (event) => {
    const button = event.target.closest("button[data-orders]")
    if (button) {
      const orders = button.dataset.orders.split("|")
      state.send("sort", orders[(orders.indexOf(state.data.order) + 1) % orders.length])
      return
    }
    const row = event.target.closest(".row[data-symbol]")
    if (!row || event.metaKey || event.ctrlKey || event.shiftKey) return
    if (String(window.getSelection())) return
    event.preventDefault()
    open(row)
  }
  root.onkeydown = (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return
    const links = [...root.querySelectorAll(".symbol a")]
    const at = links.indexOf(event.target)
    if (at < 0) return
    event.preventDefault()
    links[Math.min(Math.max(at + (event.key === "ArrowDown" ? 1 : -1), 0), links.length - 1)].focus()
  }
  const hide = () => (root.querySelector(".tip").hidden = true)
  root.onpointerover = (event) => {
    const mark = event.pointerType === "mouse" && event.target.closest(".row[data-symbol] .factors")
    if (!mark) return hide()
    const symbol = mark.closest(".row").dataset.symbol
    const row = state.data.rows.find((one) => one.symbol === symbol)
    if (row) showTip(root, row, state.data.factors, mark.querySelector("svg"))
  }
  root.onpointerleave = hide
}

export default function ({ data: { text }, parentElement, setTriggerValue }) {
  const data = JSON.parse(text)
  const root = parentElement.querySelector(".markets")
  const places = slots(data.factors)
  const focused = root.getRootNode().activeElement?.closest?.(".row")?.dataset.symbol
  root.innerHTML =
    `<svg class="defs" width="0" height="0" aria-hidden="true"><pattern id="missing" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="1" height="4" class="hatch"/></pattern></svg>` +
    `<div role="table" aria-label="Markets" aria-rowcount="${data.rows.length + 1}">` +
    headHtml(data, places) +
    data.rows.map((row) => rowHtml(row, data.factors, places)).join("") +
    `</div><div class="tip" hidden></div>`
  if (focused) root.querySelector(`.row[data-symbol="${CSS.escape(focused)}"] a`)?.focus()
  listen(root, { data, send: setTriggerValue })
}
