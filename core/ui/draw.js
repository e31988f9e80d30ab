// Draws a figure into one element and later figures into the same: what is new is drawn over what
// was there, and the reader's zoom stays as long as the figure's uirevision does. Of a point that is
// clicked and has something to tell, that is reported.

let loading

function library(source) {
  loading ??= new Promise((done, failed) => {
    const script = document.createElement("script")
    script.src = source
    script.onload = () => done(window.Plotly)
    script.onerror = () => {
      loading = undefined
      failed()
    }
    document.head.append(script)
  })
  return loading
}

const states = new WeakMap()

function begin(root) {
  const state = { spec: null, plotly: null }
  const sized = new ResizeObserver(() => {
    if (state.plotly && root.clientWidth) state.plotly.Plots.resize(root)
  })
  sized.observe(root)
  state.end = () => {
    sized.disconnect()
    if (state.plotly) state.plotly.purge(root)
    states.delete(root)
  }
  states.set(root, state)
  return state
}

function listen(root, state) {
  root.on("plotly_selected", (event) => {
    const told = event?.points.find((point) => point.customdata)
    if (told) state.tell?.("clicked", told.customdata[0])
  })
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".chart")
  root.setAttribute("aria-label", data.alt)
  root.style.height = `${data.height}px`
  const state = states.get(root) ?? begin(root)
  state.tell = data.listens ? setTriggerValue : null
  if (state.spec === data.spec) return state.end
  state.spec = data.spec
  library(data.library).then(
    (plotly) => {
      if (state.spec !== data.spec || !root.isConnected) return
      const { data: traces, layout } = JSON.parse(data.spec)
      plotly.react(root, traces, layout, data.config)
      if (!state.plotly) listen(root, state)
      state.plotly = plotly
    },
    () => {
      state.spec = null
      root.textContent = "The charts could not be loaded from the server; reload the page."
    },
  )
  return state.end
}
