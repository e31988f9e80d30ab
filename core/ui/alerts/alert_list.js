// Draws the groups of rows it is given; tells which rows are ticked and what is asked of one.
// Every text arrives formatted and is shown as text.

const esc = (text) =>
  String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

const SHAPES = {
  critical: `<path d="M6 .5 11.5 6 6 11.5 .5 6Z"/>`,
  warning: `<path class="hollow" d="M6 1 11 6 6 11 1 6Z"/><path d="M6 3.5 8.5 6 6 8.5 3.5 6Z"/>`,
  info: `<path class="hollow" d="M6 1 11 6 6 11 1 6Z"/>`,
}
const shape = (name) =>
  SHAPES[name]
    ? `<svg class="shape ${name}" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">${SHAPES[name]}</svg>`
    : ""

function bitHtml(bit) {
  if (typeof bit === "string") return esc(bit)
  const title = bit.hint ? ` title="${esc(bit.hint)}"` : ""
  const cls = bit.kind ? ` class="${esc(bit.kind)}"` : ""
  const text = bit.bits ? bits(bit.bits) : `${shape(bit.shape)}${esc(bit.text)}`
  if (bit.href) return `<a href="${esc(bit.href)}"${cls}${title}>${text}</a>`
  return `<span${cls}${title}>${text}</span>`
}
const bits = (cell) => cell.map(bitHtml).join(" ")

function rowHtml(row, data, opened) {
  const { columns, actions, selectable } = data
  const cells = row.cells.map((cell, at) => {
    const { title, number } = columns[at]
    const cls = [number ? "n" : "", cell.length ? "" : "empty", ["first", "second"][at] ?? ""].filter(Boolean).join(" ")
    return `<td class="${cls}"><span class="name">${esc(title)} </span>${bits(cell)}</td>`
  })
  const tick = !selectable
    ? ""
    : row.tick
      ? `<td class="tick"><label><input type="checkbox" data-tick="${esc(row.key)}" aria-label="${esc(row.tick)}"></label></td>`
      : `<td class="tick"></td>`
  const buttons = (row.acts ?? []).map(
    (name) =>
      `<button type="button" data-act="${esc(name)}" data-of="${esc(row.key)}" title="${esc(actions[name].hint)}">${esc(actions[name].title)}</button>`,
  )
  const more = row.more?.length
    ? `<button type="button" data-more="${esc(row.key)}" aria-expanded="${opened}">${opened ? "Less" : "More"}</button>`
    : ""
  const last = data.acting ? `<td class="acts">${buttons.join("")}${more}</td>` : ""
  const wide = columns.length + (selectable ? 1 : 0) + (data.acting ? 1 : 0)
  const extra = row.more?.length
    ? `<tr class="more" data-row="${esc(row.key)}"${opened ? "" : " hidden"}><td colspan="${wide}"><ul>` +
      row.more.map((line) => `<li>${bits(line)}</li>`).join("") +
      `</ul></td></tr>`
    : ""
  return `<tr class="${esc(row.kind ?? "")}" data-key="${esc(row.key)}">${tick}${cells.join("")}${last}</tr>${extra}`
}

function groupHtml(group, data, state) {
  const wide = data.columns.length + (data.selectable ? 1 : 0) + (data.acting ? 1 : 0)
  const head = group.head?.length
    ? `<tr class="head"><th scope="rowgroup" colspan="${wide}">${bits(group.head)}</th></tr>`
    : ""
  const all = state.whole.has(group.key)
  const shown = all ? group.rows : group.rows.slice(0, data.most)
  const left = group.rows.length - shown.length
  const rest =
    left > 0
      ? `<tr class="rest"><td colspan="${wide}"><button type="button" data-whole="${esc(group.key)}">Show ${left} more</button></td></tr>`
      : ""
  return `<tbody>${head}${shown.map((row) => rowHtml(row, data, state.open.has(row.key))).join("")}${rest}</tbody>`
}

function go(event, link, shared) {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return
  event.preventDefault()
  // As when the reader goes forward to that address: one step in the history, and no new session.
  const to = new URL(link.href)
  const here = new URLSearchParams(location.search)
  for (const name of shared) {
    if (here.has(name)) to.searchParams.set(name, here.get(name))
    else to.searchParams.delete(name)
  }
  history.pushState(null, "", to)
  window.dispatchEvent(new PopStateEvent("popstate"))
}

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const root = parentElement.querySelector(".alerts")
  root.state ??= { ticked: new Set(), open: new Set(), whole: new Set(), round: data.round }
  const state = root.state
  const tell = () => setStateValue("ticked", [...state.ticked])
  const draw = () => {
    const active = root.getRootNode().activeElement
    const held = ["tick", "more", "whole"].find((name) => active?.dataset?.[name])
    const heads = data.columns.map(
      ({ title, hint, number }) =>
        `<th scope="col" class="${number ? "n" : ""}" title="${esc(hint)}">${esc(title)}</th>`,
    )
    const tick = data.selectable
      ? `<th class="tick"><label><input type="checkbox" data-all aria-label="All that can be acknowledged"></label></th>`
      : ""
    root.innerHTML =
      `<table class="${data.pair ? "pair" : ""}"><caption>${esc(data.caption)}</caption><thead><tr>${tick}${heads.join("")}${data.acting ? "<th></th>" : ""}</tr></thead>` +
      data.groups.map((group) => groupHtml(group, data, state)).join("") +
      `</table>`
    const boxes = [...root.querySelectorAll("input[data-tick]")]
    for (const box of boxes) box.checked = state.ticked.has(box.dataset.tick)
    const all = root.querySelector("input[data-all]")
    if (all) all.checked = boxes.length > 0 && boxes.every((box) => box.checked)
    if (held) root.querySelector(`[data-${held}="${CSS.escape(active.dataset[held])}"]`)?.focus()
  }
  // What was ticked and is gone, or was acted on, is ticked no more.
  const known = new Set(data.groups.flatMap((group) => group.rows.filter((row) => row.tick).map((row) => row.key)))
  const before = state.ticked.size
  if (state.round !== data.round) state.ticked.clear()
  state.round = data.round
  for (const key of [...state.ticked]) if (!known.has(key)) state.ticked.delete(key)
  if (state.ticked.size !== before) tell()
  const given = JSON.stringify(data)
  // A reader who stands on a row keeps it while the page is drawn anew around it.
  if (root.given !== given) {
    root.given = given
    draw()
  }
  root.onchange = (event) => {
    const { tick, all } = event.target.dataset
    if (tick !== undefined) event.target.checked ? state.ticked.add(tick) : state.ticked.delete(tick)
    else if (all !== undefined)
      for (const key of known) event.target.checked ? state.ticked.add(key) : state.ticked.delete(key)
    draw()
    tell()
  }
  root.onclick = (event) => {
    const link = event.target.closest("a")
    if (link) return go(event, link, data.shared)
    const button = event.target.closest("button")
    if (!button) return
    const { act, of, more, whole } = button.dataset
    if (act) return setTriggerValue("act", `${act} ${of}`)
    if (more) state.open.has(more) ? state.open.delete(more) : state.open.add(more)
    if (whole) state.whole.add(whole)
    draw()
  }
}
