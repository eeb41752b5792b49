mod change;
mod hostile;
mod life;
mod output;
mod shapes;
mod support;
