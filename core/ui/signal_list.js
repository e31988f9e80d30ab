// Draws the rows it is given; a row leads to its signal. Every text arrives formatted.

const esc = (text) =>
  String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

function cellHtml(column, value, at, href) {
  const { text, tone } = typeof value === "object" ? value : { text: value, tone: "" }
  const cls = [column.number ? "n" : "", tone, text === "" ? "empty" : ""].filter(Boolean).join(" ")
  if (at === 0) return `<td class="${cls}"><a href="${esc(href)}">${esc(text)}</a></td>`
  return `<td class="${cls}"><span class="name">${esc(column.title)} </span>${esc(text)}</td>`
}

const rowHtml = (row, columns) =>
  `<tr>${row.cells.map((value, at) => cellHtml(columns[at], value, at, row.href)).join("")}</tr>`

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".list")
  // A reader who stands on a row keeps it while the page is drawn anew around it.
  const given = JSON.stringify(data)
  if (root.given === given) return
  root.given = given
  const heads = data.columns.map(
    ({ title, hint, number }) =>
      `<th scope="col" class="${number ? "n" : ""}" title="${esc(hint)}">${esc(title)}</th>`,
  )
  root.innerHTML =
    `<table><caption>${esc(data.caption)}</caption><thead><tr>${heads.join("")}</tr></thead><tbody>` +
    data.rows.map((row) => rowHtml(row, data.columns)).join("") +
    `</tbody></table>`
  root.onclick = (event) => {
    const row = event.target.closest("tbody tr")
    if (!row || event.metaKey || event.ctrlKey || event.shiftKey || String(window.getSelection())) return
    event.preventDefault()
    row.classList.add("opening")
    // As when the reader goes forward to that address: one step in the history, and no new session.
    const to = new URL(row.querySelector("a").href)
    const here = new URLSearchParams(location.search)
    for (const name of data.shared) {
      if (here.has(name)) to.searchParams.set(name, here.get(name))
      else to.searchParams.delete(name)
    }
    history.pushState(null, "", to)
    window.dispatchEvent(new PopStateEvent("popstate"))
  }
  root.onkeydown = (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return
    const links = [...root.querySelectorAll("a")]
    const at = links.indexOf(event.target)
    if (at < 0) return
    event.preventDefault()
    links[Math.min(Math.max(at + (event.key === "ArrowDown" ? 1 : -1), 0), links.length - 1)].focus()
  }
}
