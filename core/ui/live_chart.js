// Draws a figure into one element and later figures into the same: what is new is drawn over what
// was there, and the reader's zoom stays as long as the figure's uirevision does.

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

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".chart")
  root.setAttribute("aria-label", data.alt)
  root.style.height = `${data.height}px`
  const state = states.get(root) ?? begin(root)
  if (state.spec === data.spec) return state.end
  state.spec = data.spec
  library(data.library).then(
    (plotly) => {
      if (state.spec !== data.spec || !root.isConnected) return
      const { data: traces, layout } = JSON.parse(data.spec)
      state.plotly = plotly
      plotly.react(root, traces, layout, data.config)
    },
    () => {
      state.spec = null
      root.textContent = "The charts could not be loaded from the server; reload the page."
    },
  )
  return state.end
}
