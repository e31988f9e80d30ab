// The newest events on top. A row stays the same element for as long as it is shown, and whoever has
// scrolled down keeps their place when rows come in above.

function cell(name, text, title) {
  const part = document.createElement("span")
  part.className = name
  part.textContent = text
  if (title) part.title = title
  return part
}

function row(event) {
  const line = document.createElement("li")
  line.dataset.id = event.id
  line.className = event.side
  if (event.large) line.classList.add("large")
  const shape = document.createElement("i")
  shape.setAttribute("aria-hidden", "true")
  const side = cell("side", event.word)
  side.prepend(shape)
  line.append(
    cell("time", event.time, event.stamp),
    side,
    cell("symbol", event.symbol),
    cell("usd", event.usd, "USD"),
    cell("venue", event.venue),
    cell("trade", `${event.quantity} at ${event.price}`),
  )
  return line
}

export default function ({ data, parentElement }) {
  const rows = JSON.parse(data.rows)
  const list = parentElement.querySelector(".tape")
  list.style.height = `${data.height}px`
  const first = !list.dataset.begun
  list.dataset.begun = "yes"
  const wanted = new Set(rows.map((event) => event.id))
  const top = list.getBoundingClientRect().top
  const stays = (line) => wanted.has(line.dataset.id) && line.getBoundingClientRect().bottom > top
  const held = list.scrollTop > 0 ? [...list.children].find(stays) : null
  const before = held?.getBoundingClientRect().top
  for (const line of [...list.children]) if (!wanted.has(line.dataset.id)) line.remove()
  const kept = new Map([...list.children].map((line) => [line.dataset.id, line]))
  let next = list.firstElementChild
  for (const event of rows) {
    const line = kept.get(event.id) ?? row(event)
    if (!kept.has(event.id) && !first) line.classList.add("fresh")
    if (line === next) next = next.nextElementSibling
    else list.insertBefore(line, next)
  }
  if (held) list.scrollTop += held.getBoundingClientRect().top - before
  parentElement.querySelector(".none").hidden = rows.length > 0
  parentElement.querySelector(".none").textContent = data.nothing
}
