mod change;
mod hostile;
mod idle;
mod life;
mod output;
mod quota;
mod shapes;
mod support;
