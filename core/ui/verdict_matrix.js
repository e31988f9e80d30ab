// Draws the cells it is given and tells which one was chosen. Every text arrives formatted.

const esc = (text) =>
  String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

const SHAPES = {
  CONFIRM: `<circle cx="6" cy="6" r="5"/>`,
  DOWNSIZE: `<circle cx="6" cy="6" r="4.25" class="hollow"/><path d="M6 1.75a4.25 4.25 0 0 0 0 8.5Z"/>`,
  WAIT: `<circle cx="6" cy="6" r="4.25" class="hollow"/>`,
  SKIP: `<circle cx="6" cy="6" r="4.25" class="hollow"/><path d="M3 3l6 6M9 3 3 9" class="hollow"/>`,
}
const shape = (verdict) =>
  `<svg class="shape" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">${SHAPES[verdict] ?? ""}</svg>`

function cellHtml(cell, opened) {
  if (!cell) return `<td><span class="none" title="no finished outcomes">–</span></td>`
  return (
    `<td><button type="button" data-key="${esc(cell.key)}" aria-pressed="${cell.key === opened}"` +
    ` class="${cell.mark ? "flagged" : cell.thin ? "thin" : ""}" aria-label="${esc(cell.said)}" title="${esc(cell.why)}">` +
    `<span class="rate"><b>${esc(cell.rate)}</b> <i>${esc(cell.interval)}</i></span>` +
    `<span class="mark">${esc(cell.mark)}</span>` +
    `<span class="lift">${esc(cell.lift)} <i>${esc(cell.liftInterval)}</i></span>` +
    `<span class="count">${esc(cell.count)}</span>` +
    `<span class="base">${esc(cell.baselines)}</span></button></td>`
  )
}

function blockHtml({ title, rows }, data) {
  if (!rows.length) return ""
  const head = `<tr class="head"><th class="block" scope="rowgroup" colspan="${data.columns.length + 1}">${esc(title)}</th></tr>`
  const lines = rows.map(
    (row) =>
      `<tr class="cells"><th class="verdict" scope="row"><b>${shape(row.verdict)}${esc(row.title)}</b></th>` +
      row.cells.map((cell) => cellHtml(cell, data.opened)).join("") +
      `</tr>`,
  )
  return `<tbody>${head}${lines.join("")}</tbody>`
}

function move(root, from, key) {
  const rows = [...root.querySelectorAll("tr.cells")].map((row) => [...row.querySelectorAll("td")])
  const at = rows.findIndex((cells) => cells.some((cell) => cell.contains(from)))
  const across = rows[at].findIndex((cell) => cell.contains(from))
  const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key]
  rows[at + down]?.[across + right]?.querySelector("button")?.focus()
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".matrix")
  const focused = root.getRootNode().activeElement?.dataset?.key
  root.style.setProperty("--columns", data.columns.length)
  const heads = data.columns.map((title) => `<th scope="col">${esc(title)}</th>`).join("")
  root.innerHTML =
    `<table><caption>${esc(data.caption)}</caption><thead><tr><th></th>${heads}</tr></thead>` +
    data.blocks.map((block) => blockHtml(block, data)).join("") +
    `</table>`
  if (focused) root.querySelector(`button[data-key="${CSS.escape(focused)}"]`)?.focus()
  root.onclick = (event) => {
    const button = event.target.closest("button[data-key]")
    if (button) setTriggerValue("open", button.dataset.key)
  }
  root.onkeydown = (event) => {
    const button = event.target.closest("button[data-key]")
    if (!button || !event.key.startsWith("Arrow")) return
    event.preventDefault()
    move(root, button, event.key)
  }
}
