// A field for an expression: it marks words, completes them, and shows what the server says is wrong.
// What is typed belongs to the browser: the server's text is taken only when its revision changes.

const TOKEN = /("[^"\n]*"?|'[^'\n]*'?)|([A-Za-z_][A-Za-z_0-9]*)|([0-9][0-9.]*)|(\s+)|([^\sA-Za-z_0-9"']+)/gu
const JOINS = new Set(["and", "or", "not", "in", "if", "else"])
const PAUSE_MS = 350

const esc = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
// The server counts characters, JavaScript halves of some of them.
const unit = (text, at) => [...text].slice(0, at).join("").length

function marked(text, fault, doubts, caret) {
  let html = "", at = 0
  const put = (piece, cls) => {
    const from = at
    at += piece.length
    if (caret !== null && caret >= from && caret < at) {
      const cut = caret - from
      html += cut ? wrap(piece.slice(0, cut), cls, from) : ""
      html += `<i class="caret"></i>`
      html += wrap(piece.slice(cut), cls, from + cut)
    } else html += wrap(piece, cls, from)
  }
  const wrap = (piece, cls, from) => {
    const within = (one) => from < one.end && from + piece.length > one.start
    const state = fault && within(fault) ? "fault" : doubts.some(within) ? "doubt" : ""
    const classes = [cls, state].filter(Boolean).join(" ")
    return classes ? `<span class="${classes}">${esc(piece)}</span>` : esc(piece)
  }
  for (const [piece, quoted, word, digits] of text.matchAll(TOKEN)) {
    put(piece, quoted ? "text" : word ? (JOINS.has(word) ? "join" : "word") : digits ? "digits" : "")
  }
  if (caret === text.length) html += `<i class="caret"></i>`
  // A fault behind the last character.
  if (fault && fault.start >= text.length) html += `<span class="fault end"> </span>`
  return html + "\n"
}

// Where the caret stands: in which word or text, and what may stand there.
function place(text, caret, data) {
  const before = text.slice(0, caret)
  let quote = -1
  for (let at = 0; at < before.length; at++) {
    if (quote < 0 && (before[at] === '"' || before[at] === "'")) quote = at
    else if (quote >= 0 && before[at] === before[quote]) quote = -1
  }
  if (quote >= 0) {
    return { from: quote + 1, typed: before.slice(quote + 1), quoted: before[quote],
      options: textsFor(before.slice(0, quote), data) }
  }
  const typed = before.match(/[A-Za-z_][A-Za-z_0-9]*$/)?.[0] ?? ""
  const texts = textsFor(before.slice(0, caret - typed.length), data)
  return { from: caret - typed.length, typed, quoted: "", options: texts.length ? texts : null }
}

// The texts that belong behind `before`: of the name compared with, or of the function around.
function textsFor(before, data) {
  const compared = before.match(/([A-Za-z_][A-Za-z_0-9]*)\s*(?:==|!=|\b(?:not\s+)?in\s*\((?:\s*["'][^"']*["']\s*,)*)\s*$/)
  if (compared) {
    const word = data.words.find((one) => one.word === compared[1])
    if (word?.word === "symbol") return data.texts.symbol
    return word?.texts ?? []
  }
  let depth = 0, argument = 0
  for (let at = before.length - 1; at >= 0; at--) {
    const sign = before[at]
    if (sign === ")") depth++
    else if (sign === "(" && depth-- === 0) {
      const name = before.slice(0, at).match(/([A-Za-z_][A-Za-z_0-9]*)\s*$/)?.[1]
      const takes = data.words.find((one) => one.kind === "function" && one.word === name)?.takes
      return data.texts[takes?.[argument]] ?? []
    } else if (sign === "," && depth === 0) argument++
  }
  return []
}

function matches(where, data) {
  const typed = where.typed.toLowerCase()
  if (where.options) {
    return where.options.filter((one) => one.toLowerCase().includes(typed))
      .map((one) => ({ word: one, kind: "text", title: "", unit: "", meaning: "" }))
  }
  const rank = (one) => {
    const word = one.word.toLowerCase()
    if (word.startsWith(typed)) return 0
    if (word.includes(typed)) return 1
    return one.title.toLowerCase().includes(typed) ? 2 : 3
  }
  return data.words.map((one) => [rank(one), one]).filter(([at]) => at < 3)
    .sort(([a], [b]) => a - b).map(([, one]) => one)
}

class Field {
  constructor(root, id) {
    this.root = root
    this.area = root.querySelector("textarea")
    this.shown = root.querySelector("pre")
    this.list = root.querySelector("ul")
    this.said = root.querySelector(".said")
    this.list.id = `${id}-list`
    this.said.id = `${id}-said`
    this.area.setAttribute("aria-controls", this.list.id)
    this.area.setAttribute("aria-describedby", this.said.id)
    this.revision = null
    this.options = []
    this.chosen = 0
    this.listen()
  }

  take(data, send) {
    this.data = data
    this.send = send
    this.root.querySelector(".title").textContent = data.label
    if (this.revision !== `${data.store} ${data.revision}`) {
      this.revision = `${data.store} ${data.revision}`
      this.area.value = data.text
      this.sent = data.text
      this.close()
    }
    this.recover()
    this.keep()
    this.draw()
  }

  // What was written before the page was loaded anew is handed to the server once.
  recover() {
    if (!this.data.fresh || this.asked === this.data.store) return
    this.asked = this.data.store
    let kept = null
    try { kept = JSON.parse(sessionStorage.getItem(this.data.store)) } catch { kept = null }
    this.recovering = Boolean(kept)
    if (kept) this.send("recovered", kept)
  }

  keep() {
    if (this.data.fresh && this.recovering) return
    try {
      if (this.unsaved()) {
        const body = { ...this.data.body, expression: this.area.value }
        sessionStorage.setItem(this.data.store, JSON.stringify({ body, based_on: this.data.based_on }))
      } else sessionStorage.removeItem(this.data.store)
    } catch { /* A browser that keeps nothing keeps no draft. */ }
  }

  unsaved() {
    return this.data.dirty || this.area.value.trim() !== this.data.saved.trim()
  }

  get fault() {
    const { check } = this.data
    if (check.state !== "fault" || check.text !== this.area.value) return null
    return this.span(check)
  }

  // What is odd and forbids nothing.
  get doubts() {
    const { check } = this.data
    return check.text === this.area.value ? check.doubts.map((doubt) => this.span(doubt)) : []
  }

  span({ start, end }) {
    const { text } = this.data.check
    return { start: unit(text, start), end: unit(text, end) }
  }

  draw() {
    const text = this.area.value
    const open = !this.list.hidden
    this.shown.innerHTML = marked(text, this.fault, this.doubts, open ? this.where.from : null)
    this.area.style.height = "auto"
    this.area.style.height = `${Math.max(this.area.scrollHeight, 76)}px`
    this.area.setAttribute("aria-invalid", String(Boolean(this.fault)))
    this.say()
    if (open) this.placeList()
  }

  say() {
    const { check } = this.data
    const current = check.text === this.area.value
    this.said.classList.toggle("old", !current)
    const key = JSON.stringify([check, current])
    if (this.heard === key) return
    this.heard = key
    if (!current) {
      if (!this.said.innerHTML) this.said.textContent = "Being checked"
      return
    }
    this.said.innerHTML = [this.verdict(), ...check.doubts.map((doubt) => this.warning(doubt))]
      .map((line) => `<p>${line}</p>`).join("")
  }

  verdict() {
    const { check } = this.data
    if (check.state !== "fault") return esc(check.reason)
    const fixes = check.fixes.map((put) => this.fix({ ...check, put }))
    const there = check.text.slice(this.fault.start, this.fault.end).trim()
    const hint = fixes.length ? `<span>${there ? "Put in its place:" : "Put in:"}</span> ${fixes.join(" ")}` : esc(check.hint)
    return `<b>At character ${check.start + 1}: ${esc(check.reason)}</b> ${hint}`
  }

  warning(doubt) {
    const fixes = doubt.fixes.map((fix) => this.fix(fix)).join(" ")
    return `<strong>Warning, at character ${doubt.start + 1}:</strong> ${esc(doubt.reason)} ${esc(doubt.hint)} ${fixes}`
  }

  fix({ start, end, put }) {
    return `<button type="button" data-start="${start}" data-end="${end}" data-fix="${esc(put)}">${esc(put)}</button>`
  }

  typed() {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.flush(), PAUSE_MS)
    this.keep()
    this.draw()
  }

  flush() {
    clearTimeout(this.timer)
    if (this.area.value === this.sent) return
    this.sent = this.area.value
    this.send("text", this.sent, true)
  }

  complete(asked) {
    const where = place(this.area.value, this.area.selectionStart, this.data)
    const wanted = asked || where.typed || where.quoted
    const found = wanted ? matches(where, this.data).slice(0, 60) : []
    const done = found.length === 1 && found[0].word === where.typed
    if (!found.length || done) return this.close()
    Object.assign(this, { where, options: found, chosen: 0 })
    this.list.hidden = false
    this.drawList()
    this.draw()
  }

  drawList() {
    this.list.innerHTML = this.options.map((one, at) => `
      <li role="option" id="${this.list.id}-${at}" data-at="${at}" aria-selected="${at === this.chosen}">
        <code>${esc(one.word)}</code><span>${esc(one.title)}${one.unit ? `<small> ${esc(one.unit)}</small>` : ""}</span>
        <em>${esc(one.meaning)}</em></li>`).join("")
    this.area.setAttribute("aria-activedescendant", `${this.list.id}-${this.chosen}`)
    this.list.children[this.chosen]?.scrollIntoView({ block: "nearest" })
  }

  placeList() {
    const caret = this.shown.querySelector(".caret")
    if (!caret) return
    const box = this.root.getBoundingClientRect()
    const at = caret.getBoundingClientRect()
    this.list.style.top = `${at.bottom - box.top + 4}px`
    this.list.style.left = `${Math.max(Math.min(at.left - box.left, box.width - this.list.offsetWidth), 0)}px`
  }

  close() {
    this.list.hidden = true
    this.area.removeAttribute("aria-activedescendant")
    if (this.data) this.draw()
  }

  accept(at) {
    const option = this.options[at]
    const { from, quoted } = this.where
    const text = this.area.value
    let to = this.area.selectionStart
    let put = option.word
    let back = 0
    if (option.kind === "text") {
      if (quoted) {
        const close = text.slice(to).match(new RegExp(`^[^${quoted}\\n]*${quoted}`))
        to += close ? close[0].length : 0
        put += quoted
      } else put = `"${put}"`
    } else {
      to += text.slice(to).match(/^[A-Za-z_0-9]*/)[0].length
      if (option.kind === "function" && text[to] !== "(") {
        put += "()"
        back = 1
      }
    }
    this.replace(from, to, put, back)
    this.close()
  }

  replace(from, to, put, back = 0) {
    this.area.focus()
    this.area.setSelectionRange(from, to)
    // Keeps what the browser can undo.
    if (!document.execCommand("insertText", false, put)) this.area.setRangeText(put, from, to, "end")
    this.area.setSelectionRange(from + put.length - back, from + put.length - back)
    this.typed()
  }

  move(by) {
    this.chosen = (this.chosen + by + this.options.length) % this.options.length
    this.drawList()
  }

  listen() {
    this.area.oninput = (event) => {
      this.typed()
      if (event.inputType?.startsWith("delete") && this.list.hidden) return
      this.complete(false)
    }
    this.area.onkeydown = (event) => {
      if (event.key === " " && event.ctrlKey) {
        event.preventDefault()
        return this.complete(true)
      }
      if (this.list.hidden) {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.flush()
        return
      }
      const act = {
        ArrowDown: () => this.move(1),
        ArrowUp: () => this.move(-1),
        Enter: () => this.accept(this.chosen),
        Tab: () => this.accept(this.chosen),
        Escape: () => this.close(),
      }[event.key]
      if (!act || event.shiftKey) return
      event.preventDefault()
      event.stopPropagation()
      act()
    }
    this.area.onblur = () => {
      this.close()
      this.flush()
    }
    this.list.onpointerdown = (event) => {
      // The field keeps the focus.
      event.preventDefault()
      const option = event.target.closest("[data-at]")
      if (option) this.accept(Number(option.dataset.at))
    }
    this.said.onclick = (event) => {
      const button = event.target.closest("[data-fix]")
      if (!button || this.data.check.text !== this.area.value) return
      const { start, end } = this.span({ start: Number(button.dataset.start), end: Number(button.dataset.end) })
      this.replace(start, end, button.dataset.fix)
      this.close()
      this.flush()
    }
    // Gone with the field, or told that something would be lost.
    const leave = (event) => {
      if (!this.root.isConnected) window.removeEventListener("beforeunload", leave)
      else if (this.data && this.unsaved()) event.preventDefault()
    }
    window.addEventListener("beforeunload", leave)
  }
}

const fields = new WeakMap()

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const root = parentElement.querySelector(".editor")
  if (!fields.has(root)) fields.set(root, new Field(root, "rule-code"))
  const field = fields.get(root)
  field.take(data, (name, value, state) => (state ? setStateValue : setTriggerValue)(name, value))
}
