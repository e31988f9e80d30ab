"""What a reader sees when a page breaks: a sentence and a way on, never the inside of the error."""

from __future__ import annotations

import logging

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError

from core.errors import CryptoSatXError, StoreError
from core.ui.away import draw_way_back

_logger = logging.getLogger(__name__)


def show_failure(error: Exception) -> bool:
    """Log the error and draw what to do; True, so that nothing else is drawn."""
    _logger.error("A page could not be drawn.", exc_info=error)
    with st.container(border=True):
        st.markdown(f":material/error: **{_sentence(error)}**")
        st.markdown("The server's terminal says more. What is stored is not affected.")
        st.button("Try again", key="try_again", icon=":material/refresh:")
    if isinstance(error, StoreError | SQLAlchemyError):
        draw_way_back()
    return True


def _sentence(error: Exception) -> str:
    if isinstance(error, CryptoSatXError):
        return str(error)
    if isinstance(error, SQLAlchemyError):
        return "The database does not answer as it should."
    return "This page could not be drawn."
